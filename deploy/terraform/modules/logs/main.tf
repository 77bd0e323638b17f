# What services write to CloudWatch. Logs of runs go to S3.

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338: How long is a variable: names of customers' files may stand in logs, and a year is not always allowed.
  for_each = var.groups

  name              = "/${var.name}/${each.key}"
  retention_in_days = var.retention_days
  kms_key_id        = var.kms_key_arn
}

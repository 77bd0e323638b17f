# Entries without values: what Terraform manages stands in its state, and state is read by whoever plans.

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57: Each value belongs to another service (a database, a webhook, Databricks) that has to change it too; README.md says how.
  for_each = var.secrets

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
}

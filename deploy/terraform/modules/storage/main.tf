# The lake's bucket, the bucket for logs of runs, and the bucket for S3's record of requests.

locals {
  lake_name   = "${var.name}-lake"
  logs_name   = "${var.name}-logs"
  access_name = "${var.name}-access"
}

module "access_logs" {
  source = "../bucket"

  name            = local.access_name
  account_id      = var.account_id
  noncurrent_days = 1
  expire_prefixes = { "" = var.access_log_days }
  # By name, not by the buckets' attributes: those buckets need this one first.
  log_delivery_source_arns = ["arn:aws:s3:::${local.lake_name}", "arn:aws:s3:::${local.logs_name}"]
  force_destroy            = var.force_destroy
}

module "lake" {
  source = "../bucket"

  name              = local.lake_name
  account_id        = var.account_id
  kms_key_arn       = var.lake_key_arn
  access_log_bucket = module.access_logs.name
  noncurrent_days   = var.noncurrent_days
  # What a job that was killed left of its conversation.
  expire_prefixes = { (var.pipes_prefix) = 7 }
  force_destroy   = var.force_destroy
}

module "run_logs" {
  source = "../bucket"

  name              = local.logs_name
  account_id        = var.account_id
  kms_key_arn       = var.lake_key_arn
  access_log_bucket = module.access_logs.name
  noncurrent_days   = 1
  expire_prefixes   = { "" = var.run_log_days }
  force_destroy     = var.force_destroy
}

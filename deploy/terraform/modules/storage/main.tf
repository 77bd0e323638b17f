# The lake's bucket, the bucket for logs of runs, the bucket for S3's record of requests, and their keys.

locals {
  lake_name   = "${var.name}-lake"
  logs_name   = "${var.name}-logs"
  access_name = "${var.name}-access"

  # What the account may delegate to roles by IAM. Spelled out, so that nothing new comes with `kms:*`.
  key_administration = [
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:Decrypt", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
    "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encrypt", "kms:GenerateDataKey", "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus", "kms:ListKeyPolicies", "kms:ListResourceTags", "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
  ]

  # In a key's policy `*` is the key itself.
  key_owner_statement = {
    Sid       = "AllowTheAccountToDelegate"
    Effect    = "Allow"
    Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
    Action    = local.key_administration
    Resource  = "*"
  }
}

# Customer data: whoever reads it needs a right on the key besides the one on the bucket.
resource "aws_kms_key" "lake" {
  description             = "Tables, reports and logs of runs of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode({ Version = "2012-10-17", Statement = [local.key_owner_statement] })
}

resource "aws_kms_alias" "lake" {
  name          = "alias/${var.name}-lake"
  target_key_id = aws_kms_key.lake.key_id
}

# Secrets and CloudWatch, apart from the lake: analysts have a right on the lake's key.
resource "aws_kms_key" "operations" {
  description             = "Secrets and logs of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.key_owner_statement,
      {
        Sid       = "AllowCloudWatchLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.name}/*" }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "operations" {
  name          = "alias/${var.name}-operations"
  target_key_id = aws_kms_key.operations.key_id
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
  kms_key_arn       = aws_kms_key.lake.arn
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
  kms_key_arn       = aws_kms_key.lake.arn
  access_log_bucket = module.access_logs.name
  noncurrent_days   = 1
  expire_prefixes   = { "" = var.run_log_days }
  force_destroy     = var.force_destroy
}

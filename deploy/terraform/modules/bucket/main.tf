# A private bucket: nothing public, no ACLs, TLS only, encrypted, with versions.

locals {
  arn     = aws_s3_bucket.this.arn
  objects = "${aws_s3_bucket.this.arn}/*"

  tls_statements = [
    {
      Sid       = "DenyWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.arn, local.objects]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "DenyOldTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.arn, local.objects]
      Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
    },
  ]

  # A request that names no encryption gets the bucket's own. `Null` is needed: a negated comparison holds for a missing
  # key too, and would deny those.
  encryption_statements = [for statement in [
    {
      Sid       = "DenyOtherEncryption"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = [local.objects]
      Condition = {
        Null            = { "s3:x-amz-server-side-encryption" = "false" }
        StringNotEquals = { "s3:x-amz-server-side-encryption" = "aws:kms" }
      }
    },
    {
      Sid       = "DenyOtherKeys"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = [local.objects]
      Condition = {
        Null            = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
        StringNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.kms_key_arn }
      }
    },
  ] : statement if var.kms_key_arn != null]

  delivery_statements = [for statement in [
    {
      Sid       = "AllowDeliveryOfAccessLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = [local.objects]
      Condition = {
        ArnEquals    = { "aws:SourceArn" = var.log_delivery_source_arns }
        StringEquals = { "aws:SourceAccount" = var.account_id }
      }
    },
  ] : statement if length(var.log_delivery_source_arns) > 0]
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_144: A copy in a second region is the backup's business, and customer data may have to stay in one.
  # checkov:skip=CKV2_AWS_62: Nothing here acts on S3 events; Dagster's sensor lists the source.
  # checkov:skip=CKV_AWS_18: Logging is a resource of its own below; the bucket that takes the logs has none, or it would log itself.
  # checkov:skip=CKV_AWS_145: The key is a variable: S3 delivers its access logs to buckets with SSE-S3 only.
  bucket        = var.name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # ACLs are off: access is decided by policies alone.
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # One data key for many objects: without it each of a table's thousands of requests is a paid call to KMS.
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "replaced-objects"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      # The mark that is left when all versions of a deleted object are gone.
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      # A writer that was killed leaves some, and they are paid for.
      days_after_initiation = 1
    }
  }

  dynamic "rule" {
    for_each = var.expire_prefixes

    content {
      id     = "expire-${rule.key == "" ? "all" : trim(rule.key, "/")}"
      status = "Enabled"

      filter {
        prefix = rule.key
      }

      expiration {
        days = rule.value
      }
    }
  }

  # Lifecycle rules for noncurrent versions want versioning first.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_logging" "this" {
  count = var.access_log_bucket == null ? 0 : 1

  bucket        = aws_s3_bucket.this.id
  target_bucket = var.access_log_bucket
  target_prefix = "${var.name}/"

  target_object_key_format {
    partitioned_prefix {
      partition_date_source = "EventTime"
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.tls_statements, local.encryption_statements, local.delivery_statements)
  })

  # Before the block, a policy with `Principal: *` could be taken for a public one.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

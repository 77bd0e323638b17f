# The most that any role made by the deployment can do, whatever its policy says. The apply role may make roles only under
# it, and may not change it: a workflow cannot give itself more than this.

resource "aws_iam_policy" "boundary" {
  name        = "${var.name}-boundary"
  description = "The most that roles of ${var.name} can do"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Buckets"
          Effect   = "Allow"
          Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
          Resource = ["arn:aws:s3:::${var.name}-lake", "arn:aws:s3:::${var.name}-logs"]
        },
        {
          Sid      = "Objects"
          Effect   = "Allow"
          Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
          Resource = ["arn:aws:s3:::${var.name}-lake/*", "arn:aws:s3:::${var.name}-logs/*"]
        },
        {
          Sid       = "Keys"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource  = var.key_arns
          Condition = { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com", "secretsmanager.${var.region}.amazonaws.com"] } }
        },
        {
          Sid      = "Secrets"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue"]
          Resource = ["arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:${var.name}/*"]
        },
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.name}/*:log-stream:*"]
        },
        {
          # Databricks asks that Unity Catalog's role can take itself.
          Sid      = "UnityCatalogItself"
          Effect   = "Allow"
          Action   = ["sts:AssumeRole"]
          Resource = ["arn:aws:iam::${var.account_id}:role/${var.name}-unity-catalog"]
        },
      ],
      [for statement in [
        {
          Sid      = "Sources"
          Effect   = "Allow"
          Action   = ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"]
          Resource = flatten([for arn in var.source_bucket_arns : [arn, "${arn}/*"]])
        },
      ] : statement if length(var.source_bucket_arns) > 0],
    )
  })
}

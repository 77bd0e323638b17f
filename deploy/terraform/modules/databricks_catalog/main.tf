# How Unity Catalog reaches the lake, and the volume that wheels and settings lie on.

locals {
  role_name = "${var.name}-unity-catalog"
  # By name: the credential needs the role's ARN, and the role's trust the credential's external id.
  role_arn = "arn:aws:iam::${var.account_id}:role/${local.role_name}"

  # Whoever plans sees that things are there and how they are, by the least right that shows each.
  planners = var.plan_principal == null ? [] : [var.plan_principal]

  locations = {
    lake   = trimsuffix(var.lake.prefix, "/")
    wheels = trimsuffix(var.lake.wheels_prefix, "/")
  }
}

resource "databricks_storage_credential" "this" {
  name    = local.role_name
  comment = "The lake of ${var.name}"
  # The role is made after it.
  skip_validation = true

  aws_iam_role {
    role_arn = local.role_arn
  }
}

resource "aws_iam_role" "this" {
  name                 = local.role_name
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "UnityCatalog"
        Effect    = "Allow"
        Principal = { AWS = databricks_storage_credential.this.aws_iam_role[0].unity_catalog_iam_arn }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "sts:ExternalId" = databricks_storage_credential.this.aws_iam_role[0].external_id } }
      },
      {
        # Databricks asks that the role can take itself. A principal must exist, and this one is only being made: hence the
        # account with a condition.
        Sid       = "Itself"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
        Action    = "sts:AssumeRole"
        Condition = {
          ArnEquals    = { "aws:PrincipalArn" = local.role_arn }
          StringEquals = { "sts:ExternalId" = databricks_storage_credential.this.aws_iam_role[0].external_id }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "rights"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
        Resource = [for prefix in values(local.locations) : "arn:aws:s3:::${var.lake.bucket}/${prefix}/*"]
      },
      {
        Sid       = "List"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = ["arn:aws:s3:::${var.lake.bucket}"]
        Condition = { StringLike = { "s3:prefix" = flatten([for prefix in values(local.locations) : [prefix, "${prefix}/*"]]) } }
      },
      {
        Sid      = "Find"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
        Resource = ["arn:aws:s3:::${var.lake.bucket}"]
      },
      {
        Sid       = "UseKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.lake.key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
      },
      {
        Sid      = "Itself"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole"]
        Resource = [local.role_arn]
      },
    ]
  })
}

resource "databricks_external_location" "this" {
  for_each = local.locations

  name            = "${var.name}-${each.key}"
  url             = "s3://${var.lake.bucket}/${each.value}"
  credential_name = databricks_storage_credential.this.name
  comment         = "${each.key} of ${var.name}"

  # Databricks tries the credential when it makes the location.
  depends_on = [aws_iam_role_policy.this]
}

resource "databricks_schema" "this" {
  catalog_name = var.catalog_name
  name         = var.schema_name
  comment      = "Wheels and settings of ${var.name}; the tables are Delta tables in the lake"
}

resource "databricks_volume" "wheels" {
  catalog_name     = var.catalog_name
  schema_name      = databricks_schema.this.name
  name             = "wheels"
  volume_type      = "EXTERNAL"
  storage_location = databricks_external_location.this["wheels"].url
  comment          = "Wheels of cltv-assets, their requirements and the settings"
}

# A credential has no right that only shows it. This one makes nothing without the same right on the metastore.
resource "databricks_grants" "credential" {
  count = length(local.planners)

  storage_credential = databricks_storage_credential.this.id

  grant {
    principal  = local.planners[count.index]
    privileges = ["CREATE_EXTERNAL_LOCATION"]
  }
}

# The whole list of who may do what: a right given by hand is taken back by the next apply.
resource "databricks_grants" "lake" {
  external_location = databricks_external_location.this["lake"].id

  grant {
    principal  = var.job_principal
    privileges = ["READ_FILES", "WRITE_FILES"]
  }

  dynamic "grant" {
    for_each = var.analyst_groups

    content {
      principal  = grant.value
      privileges = ["READ_FILES"]
    }
  }

  dynamic "grant" {
    for_each = local.planners

    content {
      principal  = grant.value
      privileges = ["BROWSE"]
    }
  }
}

resource "databricks_grants" "wheels" {
  count = length(local.planners)

  external_location = databricks_external_location.this["wheels"].id

  grant {
    principal  = local.planners[count.index]
    privileges = ["BROWSE"]
  }
}

resource "databricks_grants" "schema" {
  schema = databricks_schema.this.id

  grant {
    principal  = var.job_principal
    privileges = ["USE_SCHEMA"]
  }

  grant {
    principal  = var.deployer
    privileges = ["USE_SCHEMA"]
  }

  dynamic "grant" {
    for_each = local.planners

    content {
      principal  = grant.value
      privileges = ["USE_SCHEMA"]
    }
  }
}

resource "databricks_grants" "volume" {
  volume = databricks_volume.wheels.id

  grant {
    principal  = var.job_principal
    privileges = ["READ_VOLUME"]
  }

  grant {
    principal  = var.deployer
    privileges = ["READ_VOLUME", "WRITE_VOLUME"]
  }

  dynamic "grant" {
    for_each = local.planners

    content {
      principal  = grant.value
      privileges = ["READ_VOLUME"]
    }
  }
}

# Who may use the catalog is its owner's to say (module databricks_workflows); the right that stood here stays in force.
removed {
  from = databricks_grant.catalog

  lifecycle {
    destroy = false
  }
}

# Three roles: the code server runs months, Spark computes them, analysts read what came of it.

locals {
  bucket = var.lake.bucket_arn

  # A table's folder is listed by its name with or without the slash.
  written = [for prefix in [var.lake.prefix, var.lake.pipes_prefix] : trimsuffix(prefix, "/")]

  # delta-rs commits by a conditional put: it needs nothing beyond Get, Put, Delete and List. Deleting a version is not
  # among them, so a writer can undo no more than the bucket's versions restore.
  write_statements = [
    {
      Sid       = "ListLake"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [local.bucket]
      Condition = { StringLike = { "s3:prefix" = flatten([for prefix in local.written : [prefix, "${prefix}/*"]]) } }
    },
    {
      Sid      = "ReadWriteLake"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      Resource = [for prefix in local.written : "${local.bucket}/${prefix}/*"]
    },
    {
      # Spark's committer asks which uploads are open before it completes its own.
      Sid      = "FindLake"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
      Resource = [local.bucket]
    },
    {
      Sid       = "UseLakeKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [var.lake.key_arn]
      Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
    },
  ]

  source_keys = distinct([for source in var.sources : source.key_arn if source.key_arn != null])

  source_statements = concat(
    [for index, source in var.sources : {
      Sid       = "ListSource${index}"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = ["arn:aws:s3:::${source.bucket}"]
      Condition = { StringLike = { "s3:prefix" = source.prefix == "" ? ["", "*"] : [trimsuffix(source.prefix, "/"), "${source.prefix}*"] } }
    }],
    [for statement in [
      {
        Sid      = "ReadSources"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for source in var.sources : "arn:aws:s3:::${source.bucket}/${source.prefix}*"]
      },
      {
        Sid      = "FindSources"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation"]
        Resource = distinct([for source in var.sources : "arn:aws:s3:::${source.bucket}"])
      },
    ] : statement if length(var.sources) > 0],
    [for statement in [{
      Sid       = "UseSourceKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = local.source_keys
      Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
    }] : statement if length(local.source_keys) > 0],
  )

  wheel_statements = [{
    Sid      = "ReadWheels"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = ["${local.bucket}/${var.lake.wheels_prefix}*"]
  }]

  run_log_statements = [
    {
      Sid      = "KeepRunLogs"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = ["${var.run_logs_bucket_arn}/runs/*"]
    },
    {
      Sid       = "ListRunLogs"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.run_logs_bucket_arn]
      Condition = { StringLike = { "s3:prefix" = ["runs", "runs/*"] } }
    },
  ]

  service_statements = concat(
    [for statement in [
      {
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.secret_arns
      },
      {
        Sid       = "UseSecretsKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.operations_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ] : statement if length(var.secret_arns) > 0],
    [{
      Sid      = "WriteServiceLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = [for arn in var.log_group_arns : "${trimsuffix(arn, ":*")}:log-stream:*"]
    }],
  )

  tables = sort(tolist(var.analyst_tables))

  read_statements = [
    {
      Sid       = "ListTables"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [local.bucket]
      Condition = { StringLike = { "s3:prefix" = flatten([for table in local.tables : ["${var.lake.prefix}${table}", "${var.lake.prefix}${table}/*"]]) } }
    },
    {
      Sid      = "ReadTables"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = [for table in local.tables : "${local.bucket}/${var.lake.prefix}${table}/*"]
    },
    {
      Sid      = "FindLake"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation"]
      Resource = [local.bucket]
    },
    {
      Sid       = "UseLakeKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = [var.lake.key_arn]
      Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
    },
  ]

  # Statements differ in their keys, and a list wants one type: each goes by way of JSON.
  policies = {
    code_server = [for statement in concat(local.write_statements, local.source_statements, local.run_log_statements, local.service_statements) : jsonencode(statement)]
    spark       = [for statement in concat(local.write_statements, local.source_statements, local.wheel_statements) : jsonencode(statement)]
    analysts    = [for statement in local.read_statements : jsonencode(statement)]
  }

  documents = { for role, statements in local.policies : role => "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", statements)}]}" }
}

module "code_server" {
  source = "../role"

  name                     = "${var.name}-code-server"
  account_id               = var.account_id
  region                   = var.region
  trust                    = var.trust.code_server
  policy                   = local.documents["code_server"]
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "spark" {
  source = "../role"

  name                     = "${var.name}-spark"
  account_id               = var.account_id
  region                   = var.region
  trust                    = var.trust.spark
  policy                   = local.documents["spark"]
  permissions_boundary_arn = var.permissions_boundary_arn
  # Executors take the keys when they first open a bucket: a month must end before they do.
  max_session_seconds = 43200
}

module "analysts" {
  source = "../role"
  # Without anybody to take it there is no such role.
  count = length(var.trust.analyst_role_arns) == 0 ? 0 : 1

  name                     = "${var.name}-analysts"
  account_id               = var.account_id
  region                   = var.region
  trust                    = { kind = "roles", role_arns = var.trust.analyst_role_arns }
  policy                   = local.documents["analysts"]
  permissions_boundary_arn = var.permissions_boundary_arn
}

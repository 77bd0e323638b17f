# Everything of one environment. The roots hold what differs.

locals {
  lake_prefix   = "lake/"
  pipes_prefix  = "cltv-pipes/"
  wheels_prefix = "wheels/"
  tags          = { deployment = var.name }

  # What lies on the volume.
  volume       = one(module.databricks_catalog[*].volume_path)
  wheel        = var.databricks == null ? null : "${local.volume}/${var.databricks.wheel}"
  requirements = var.databricks == null ? null : "${local.volume}/requirements.txt"
  config       = var.databricks == null ? null : "${local.volume}/cltv.yaml"
}

module "storage" {
  source = "../storage"

  name            = var.name
  account_id      = var.account_id
  lake_key_arn    = var.lake_key_arn
  pipes_prefix    = local.pipes_prefix
  noncurrent_days = var.retention.noncurrent_days
  run_log_days    = var.retention.run_log_days
  access_log_days = var.retention.access_log_days
  force_destroy   = var.force_destroy
}

module "secrets" {
  source = "../secrets"

  name          = var.name
  secrets       = var.secrets
  kms_key_arn   = var.operations_key_arn
  recovery_days = var.retention.secret_days
}

module "logs" {
  source = "../logs"

  name           = var.name
  groups         = ["code-server", "daemon", "webserver"]
  retention_days = var.retention.service_days
  kms_key_arn    = var.operations_key_arn
}

module "access" {
  source = "../access"

  name       = var.name
  account_id = var.account_id
  region     = var.region

  lake = {
    bucket_arn    = module.storage.lake_bucket_arn
    prefix        = local.lake_prefix
    pipes_prefix  = local.pipes_prefix
    wheels_prefix = local.wheels_prefix
    key_arn       = var.lake_key_arn
  }

  run_logs_bucket_arn      = module.storage.run_logs_bucket_arn
  operations_key_arn       = var.operations_key_arn
  sources                  = var.sources
  secret_arns              = values(module.secrets.arns)
  log_group_arns           = values(module.logs.arns)
  analyst_tables           = var.analyst_tables
  trust                    = var.trust
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "databricks_catalog" {
  source = "../databricks_catalog"
  count  = var.databricks == null ? 0 : 1

  name       = var.name
  account_id = var.account_id
  region     = var.region

  lake = {
    bucket        = module.storage.lake_bucket
    prefix        = local.lake_prefix
    wheels_prefix = local.wheels_prefix
    key_arn       = var.lake_key_arn
  }

  permissions_boundary_arn = var.permissions_boundary_arn
  catalog_name             = var.databricks.catalog_name
  schema_name              = var.databricks.schema_name
  job_principal            = var.databricks.job_principal
  deployer                 = var.databricks.deployer
  plan_principal           = var.databricks.plan_principal
  analyst_groups           = var.databricks.analyst_groups
}

module "databricks_job" {
  source = "../databricks_job"
  count  = var.databricks == null ? 0 : 1

  name                           = var.name
  compute                        = var.databricks.compute
  cluster                        = var.databricks.cluster
  instance_profile_arn           = module.access.spark_instance_profile_arn
  serverless_environment_version = var.databricks.serverless_environment_version
  region                         = var.region
  wheel_path                     = local.wheel
  requirements_path              = local.requirements
  config_path                    = local.config
  run_as                         = var.databricks.job_principal
  timeout_seconds                = var.databricks.timeout_seconds
  schedule                       = var.databricks.schedule
  failure_emails                 = var.databricks.failure_emails
  managers                       = var.databricks.managers
  viewers                        = var.databricks.viewers
  plan_principal                 = var.databricks.plan_principal
  tags                           = local.tags
}

# Production: what is replaced or deleted can be restored for a month, and no command deletes a bucket that holds something.

module "platform" {
  source = "../../modules/platform"

  name                     = var.name
  account_id               = var.account_id
  region                   = var.region
  permissions_boundary_arn = var.permissions_boundary_arn
  lake_key_arn             = var.lake_key_arn
  operations_key_arn       = var.operations_key_arn
  sources                  = var.sources
  trust                    = { code_server = var.code_server_trust, spark = var.spark_trust, analyst_role_arns = var.analyst_role_arns }
  analyst_tables           = var.analyst_tables
  secrets                  = var.secrets
  databricks               = var.databricks
  force_destroy            = false

  retention = {
    # `cltv forget` has erased a customer when the replaced files are gone too: not longer than the law gives.
    noncurrent_days = 30
    run_log_days    = 180
    access_log_days = 365
    service_days    = 90
    secret_days     = 30
  }
}

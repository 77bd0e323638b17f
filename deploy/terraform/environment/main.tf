# One environment: staging or production, as `../run` is told. Their variable files say what differs.

module "platform" {
  source = "../modules/platform"

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
  force_destroy            = var.force_destroy
  retention                = var.retention
}

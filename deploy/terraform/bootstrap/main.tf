# What must be there before a workflow can deploy, made once by an administrator: the state's bucket, the keys, and the roles
# that GitHub's workflows take. The deployment cannot change it.

module "state" {
  source = "../modules/bucket"

  name       = "${var.name}-state"
  account_id = var.account_id
  # SSE-S3: the state holds no secrets, and no key can be lost that the way back depends on.
  kms_key_arn     = null
  noncurrent_days = 365
}

module "keys" {
  source = "../modules/keys"

  name       = var.name
  account_id = var.account_id
  region     = var.region
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_oidc_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

module "github" {
  source = "../modules/github"

  name               = var.name
  account_id         = var.account_id
  region             = var.region
  oidc_provider_arn  = coalesce(var.github_oidc_provider_arn, one(aws_iam_openid_connect_provider.github[*].arn))
  repository         = var.github_repository
  environment        = var.environment
  state_bucket_arn   = module.state.arn
  state_key          = "${var.environment}.tfstate"
  source_bucket_arns = var.source_bucket_arns
  operations_key_arn = module.keys.operations_key_arn
  key_arns           = concat([module.keys.lake_key_arn, module.keys.operations_key_arn], var.source_key_arns)
}

module "databricks_workflows" {
  source = "../modules/databricks_workflows"
  count  = var.databricks == null ? 0 : 1

  name                  = var.name
  subjects              = module.github.subjects
  databricks_account_id = var.databricks.account_id
  workspace_id          = var.databricks.workspace_id
  metastore_id          = var.databricks.metastore_id
  catalog_name          = var.databricks.catalog_name
  catalog_users         = var.databricks.catalog_users

  providers = {
    databricks         = databricks
    databricks.account = databricks.account
  }
}

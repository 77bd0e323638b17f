# How GitHub's workflows reach Databricks: a service principal that plans, one that applies, as on AWS. Neither has a secret:
# each takes the tokens of its own kind of run.

locals {
  issuer = "https://token.actions.githubusercontent.com"

  policies = merge([for who, subjects in var.subjects : {
    for subject in subjects : "${who} ${subject}" => { who = who, subject = subject }
  }]...)

  # What exists for others, too, so one principal's rights at a time. Whoever applies owns what it makes; whoever plans
  # gets its rights on that from whoever applies.
  catalog_privileges = merge(
    { for principal in var.catalog_users : principal => ["USE_CATALOG"] },
    {
      plan  = ["USE_CATALOG"]
      apply = ["CREATE_SCHEMA", "USE_CATALOG"]
    },
  )
  application_ids = { for who, principal in databricks_service_principal.this : who => principal.application_id }
}

resource "databricks_service_principal" "this" {
  provider = databricks.account
  for_each = var.subjects

  display_name = "github-${each.key}-${var.name}"
}

resource "databricks_service_principal_federation_policy" "this" {
  provider = databricks.account
  for_each = local.policies

  service_principal_id = databricks_service_principal.this[each.value.who].id
  description          = each.value.subject

  oidc_policy = {
    issuer    = local.issuer
    audiences = [var.databricks_account_id]
    subject   = each.value.subject
  }
}

resource "databricks_mws_permission_assignment" "this" {
  provider = databricks.account
  for_each = databricks_service_principal.this

  workspace_id = var.workspace_id
  principal_id = each.value.id
  permissions  = ["USER"]
}

# The smallest set that the module databricks_catalog can be made with. It makes whoever applies no metastore administrator.
resource "databricks_grant" "metastore" {
  metastore  = var.metastore_id
  principal  = local.application_ids["apply"]
  privileges = ["CREATE_EXTERNAL_LOCATION", "CREATE_STORAGE_CREDENTIAL"]
}

resource "databricks_grant" "catalog" {
  for_each = local.catalog_privileges

  catalog    = var.catalog_name
  principal  = lookup(local.application_ids, each.key, each.key)
  privileges = each.value
}

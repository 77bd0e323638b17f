variable "name" {
  description = "Suffix of the principals' names."
  type        = string
}

variable "subjects" {
  description = "Whose tokens each principal takes: `plan` and `apply` to subjects, as the module github has them."
  type        = map(list(string))
}

variable "databricks_account_id" {
  description = "Databricks account. Tokens for Databricks are made out to it."
  type        = string
}

variable "workspace_id" {
  description = "Workspace that both principals may use."
  type        = number
}

variable "metastore_id" {
  description = "Metastore of the workspace."
  type        = string
}

variable "catalog_name" {
  description = "Catalog, which exists, that gets the schema."
  type        = string
}

variable "catalog_users" {
  description = "Others that use the catalog: the job's principal, whoever puts wheels onto the volume."
  type        = set(string)
}

variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "lake" {
  description = "The lake: its bucket, the prefixes within it, its key."
  type = object({
    bucket        = string
    prefix        = string
    wheels_prefix = string
    key_arn       = string
  })
}

variable "permissions_boundary_arn" {
  description = "The most that Unity Catalog's role can ever be given; null for no boundary."
  type        = string
}

variable "catalog_name" {
  description = "Catalog, which exists, that gets the schema with the volume."
  type        = string
}

variable "schema_name" {
  description = "Schema to make in it."
  type        = string
}

variable "job_principal" {
  description = "Application id of the service principal that the job runs as."
  type        = string
}

variable "deployer" {
  description = "Group or service principal that puts wheels and settings onto the volume."
  type        = string
}

variable "analyst_groups" {
  description = "Groups that may read the lake's files in Databricks."
  type        = set(string)
}

variable "plan_principal" {
  description = "Application id of the service principal that plans pull requests: it looks at everything here and reads no file of the lake. Null for none."
  type        = string
}

variable "name" {
  description = "Prefix of every name, such as `acme-cltv-staging`; unique in all of AWS, because buckets bear it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,39}$", var.name)) && !startswith(var.name, "github-")
    error_message = "The name has 3 to 40 lower-case letters, digits and hyphens, begins with a letter, and not with github-: roles of that name deploy."
  }
}

variable "account_id" {
  description = "AWS account; another one's credentials are refused."
  type        = string

  validation {
    condition     = can(regex("^\\d{12}$", var.account_id))
    error_message = "An AWS account's id has twelve digits."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "environment" {
  description = "`staging` or `production`: the GitHub environment, and the state's name."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "github_repository" {
  description = "Whose workflows deploy, `owner/name`."
  type        = string
}

variable "github_oidc_provider_arn" {
  description = "The account's provider for GitHub's tokens, where it has one already; an account can have only one."
  type        = string
  default     = null
}

variable "source_bucket_arns" {
  description = "Buckets with delivered files, which roles may read."
  type        = list(string)
}

variable "source_key_arns" {
  description = "Keys of KMS that those buckets are encrypted with."
  type        = list(string)
  default     = []
}

variable "databricks" {
  description = "Where the workflows' service principals are made: the workspace's address, account, workspace and metastore by their ids, the catalog, and in `catalog_users` who else uses it (the job's principal, the deployer). Null for none."
  type = object({
    host          = string
    account_id    = string
    workspace_id  = number
    metastore_id  = string
    catalog_name  = string
    catalog_users = optional(set(string), [])
  })
  default = null

  validation {
    condition     = var.databricks == null || length(setintersection(try(var.databricks.catalog_users, []), ["plan", "apply"])) == 0
    error_message = "plan and apply are the workflows' own names: they cannot be users of the catalog."
  }
}

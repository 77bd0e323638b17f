variable "name" {
  description = "Prefix of the roles' names."
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
  description = "The lake: its bucket's ARN, the prefixes within it, its key."
  type = object({
    bucket_arn    = string
    prefix        = string
    pipes_prefix  = string
    wheels_prefix = string
    key_arn       = string
  })
}

variable "run_logs_bucket_arn" {
  description = "Bucket for logs of runs."
  type        = string
}

variable "operations_key_arn" {
  description = "Key of the secrets."
  type        = string
}

variable "sources" {
  description = "Where the delivered files are: buckets that are only read. `prefix` is empty or ends with a slash; `key_arn` is null where S3 keeps the key."
  type = list(object({
    bucket  = string
    prefix  = string
    key_arn = optional(string)
  }))

  validation {
    condition     = alltrue([for source in var.sources : source.prefix == "" || endswith(source.prefix, "/")])
    error_message = "A source's prefix is empty or ends with a slash: without one, `orders` would also open `orders-archive`."
  }
}

variable "secret_arns" {
  description = "Secrets that the code server reads."
  type        = list(string)
}

variable "log_group_arns" {
  description = "Log groups that the code server writes to."
  type        = list(string)
}

variable "analyst_tables" {
  description = "Tables that analysts read; `cltv_report` are the reports."
  type        = set(string)

  validation {
    condition     = alltrue([for table in var.analyst_tables : can(regex("^[a-z_]+$", table))])
    error_message = "A table's name is lower-case letters and underscores; a wildcard would open all tables."
  }
}

variable "trust" {
  description = "Who may take each role, as the module role has it."
  type = object({
    code_server = object({
      kind              = string
      oidc_provider_arn = optional(string)
      namespace         = optional(string)
      service_account   = optional(string)
      role_arns         = optional(list(string), [])
    })
    spark = object({
      kind              = string
      oidc_provider_arn = optional(string)
      namespace         = optional(string)
      service_account   = optional(string)
      role_arns         = optional(list(string), [])
    })
    analyst_role_arns = list(string)
  })
}

variable "permissions_boundary_arn" {
  description = "The most that these roles can ever be given; null for no boundary."
  type        = string
}

variable "name" {
  description = "Prefix of every name, such as `acme-cltv-staging`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,39}$", var.name)) && !startswith(var.name, "github-")
    error_message = "The name has 3 to 40 lower-case letters, digits and hyphens, begins with a letter, and not with github-: roles of that name deploy."
  }
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The most that roles made here can be given; bootstrap makes it."
  type        = string
}

variable "lake_key_arn" {
  description = "Key of lake and logs of runs; bootstrap makes it."
  type        = string
}

variable "operations_key_arn" {
  description = "Key of secrets and CloudWatch logs; bootstrap makes it."
  type        = string
}

variable "sources" {
  description = "Buckets with delivered files."
  type = list(object({
    bucket  = string
    prefix  = string
    key_arn = optional(string)
  }))
}

variable "trust" {
  description = "Who may take the roles."
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

variable "analyst_tables" {
  description = "Tables that analysts read."
  type        = set(string)
}

variable "secrets" {
  description = "Secret to what it is for."
  type        = map(string)
}

variable "retention" {
  description = "Days that things are kept."
  type = object({
    noncurrent_days = number
    run_log_days    = number
    access_log_days = number
    service_days    = number
    secret_days     = number
  })
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets with what is in them."
  type        = bool
}

variable "databricks" {
  description = "The half on Databricks; null for none."
  type = object({
    catalog_name                   = string
    schema_name                    = string
    job_principal                  = string
    deployer                       = string
    plan_principal                 = string
    analyst_groups                 = set(string)
    managers                       = set(string)
    viewers                        = set(string)
    failure_emails                 = list(string)
    compute                        = string
    serverless_environment_version = string
    wheel                          = string
    timeout_seconds                = number

    cluster = object({
      spark_version = string
      node_type_id  = string
      workers       = tuple([number, number])
    })
    schedule = object({
      quartz_cron_expression = string
      timezone_id            = string
    })
  })
}

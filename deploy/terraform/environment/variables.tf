variable "environment" {
  description = "`staging` or `production`. `../run` sets it."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "An environment is staging or production."
  }
}

variable "name" {
  description = "Prefix of every name. Bootstrap had the same."
  type        = string
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

variable "permissions_boundary_arn" {
  description = "Output `boundary_arn` of bootstrap."
  type        = string
}

variable "lake_key_arn" {
  description = "Output `lake_key_arn` of bootstrap."
  type        = string
}

variable "operations_key_arn" {
  description = "Output `operations_key_arn` of bootstrap."
  type        = string
}

variable "sources" {
  description = "Buckets with delivered files, each with `bucket`, `prefix` (empty, or ending with a slash) and, where they are encrypted with a key of KMS, `key_arn`. They are only read."
  type = list(object({
    bucket  = string
    prefix  = string
    key_arn = optional(string)
  }))
}

variable "code_server_trust" {
  description = "Who may take the code server's role: `kind` `ecs`; `eks` with `oidc_provider_arn`, `namespace` and `service_account`; or `ec2`."
  type = object({
    kind              = string
    oidc_provider_arn = optional(string)
    namespace         = optional(string)
    service_account   = optional(string)
  })
}

variable "spark_trust" {
  description = "Who may take Spark's role: as above, or `kind` `emr_serverless`. Databricks' job clusters need `ec2`."
  type = object({
    kind              = string
    oidc_provider_arn = optional(string)
    namespace         = optional(string)
    service_account   = optional(string)
  })
  default = { kind = "ec2" }
}

variable "analyst_role_arns" {
  description = "Roles of the account, such as those of a single sign-on, that may take the analysts' role. Without any there is none."
  type        = list(string)
  default     = []
}

variable "analyst_tables" {
  description = "Tables that analysts read; `cltv_report` are the reports. Lines as delivered are not among them."
  type        = set(string)
  default     = ["acquisition_costs", "acquisition_payback", "cltv_predictions", "cltv_report", "cohort_value", "customer_attributes", "customer_scores", "holdout_evaluation", "new_customer_value", "purchase_model", "rfm_summary", "segment_movement", "segment_summary", "spend_model"]
}

variable "force_destroy" {
  description = "Whether buckets may be destroyed with what they hold. Not in production."
  type        = bool
  default     = false

  validation {
    condition     = !(var.force_destroy && var.environment == "production")
    error_message = "A bucket of production is not destroyed with what it holds."
  }
}

variable "retention" {
  description = "Days. `noncurrent_days`: what is replaced or deleted can be restored that long, and a customer is erased by `cltv forget` when they have passed: not longer than you have promised."
  type = object({
    noncurrent_days = optional(number, 30)
    run_log_days    = optional(number, 180)
    access_log_days = optional(number, 365)
    service_days    = optional(number, 90)
    secret_days     = optional(number, 30)
  })
  default = {}
}

variable "secrets" {
  description = "Secret to what it is for; values are put in by hand."
  type        = map(string)
  default = {
    postgres_password = "Password of Dagster's database"
    webhook_url       = "Address that alerts go to"
  }
}

variable "databricks_host" {
  description = "Address of the Databricks workspace; null without Databricks."
  type        = string
  default     = null
}

variable "databricks" {
  description = "The half on Databricks; null for none. README.md has an example."
  type = object({
    catalog_name                   = string
    schema_name                    = optional(string, "cltv")
    job_principal                  = string
    deployer                       = string
    plan_principal                 = optional(string)
    analyst_groups                 = optional(set(string), [])
    managers                       = optional(set(string), [])
    viewers                        = optional(set(string), [])
    failure_emails                 = optional(list(string), [])
    compute                        = optional(string, "job_cluster")
    serverless_environment_version = optional(string, "4")
    wheel                          = string
    timeout_seconds                = optional(number, 14400)

    cluster = optional(object({
      spark_version = optional(string, "17.3.x-scala2.13")
      node_type_id  = optional(string, "m7gd.xlarge")
      workers       = optional(tuple([number, number]), [1, 4])
    }), {})
    schedule = optional(object({
      quartz_cron_expression = optional(string, "0 0 6 2 * ?")
      timezone_id            = optional(string, "UTC")
    }), {})
  })
  default = null

  validation {
    condition     = var.databricks == null || var.databricks_host != null
    error_message = "Databricks needs databricks_host."
  }
}

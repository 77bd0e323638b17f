variable "name" {
  description = "Prefix of every name, such as `acme-cltv-staging`."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "lake_key_arn" {
  description = "Key of lake and logs of runs."
  type        = string
}

variable "pipes_prefix" {
  description = "Prefix in the lake's bucket through which Dagster Pipes passes contexts and messages."
  type        = string
}

variable "noncurrent_days" {
  description = "Days that a replaced or deleted file of the lake can still be restored."
  type        = number
}

variable "run_log_days" {
  description = "Days that logs of runs are kept."
  type        = number
}

variable "access_log_days" {
  description = "Days that S3's record of requests is kept."
  type        = number
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets with what is in them."
  type        = bool
}

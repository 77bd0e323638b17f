variable "name" {
  description = "Prefix of every name that the deployment may touch."
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

variable "oidc_provider_arn" {
  description = "The account's provider for GitHub's tokens."
  type        = string
}

variable "repository" {
  description = "Whose workflows may take the roles, `owner/name`."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "The repository is owner/name, without wildcards."
  }
}

variable "environment" {
  description = "GitHub environment whose approval the apply role waits for."
  type        = string
}

variable "state_bucket_arn" {
  description = "Bucket of the state."
  type        = string
}

variable "state_key" {
  description = "Key of the state in its bucket."
  type        = string
}

variable "source_bucket_arns" {
  description = "Buckets with delivered files, which roles made by the deployment may read."
  type        = list(string)
}

variable "key_arns" {
  description = "Keys of lake, logs and secrets, and of those buckets: what roles made by the deployment may use."
  type        = list(string)
}

variable "operations_key_arn" {
  description = "Key of the secrets: entries are made under it only."
  type        = string
}

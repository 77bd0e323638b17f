variable "name" {
  description = "Name of the bucket; unique in all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens. Dots would break TLS to the bucket's own host name."
  }
}

variable "kms_key_arn" {
  description = "Key that objects are encrypted with; null for keys that S3 keeps itself (SSE-S3)."
  type        = string
  default     = null
}

variable "access_log_bucket" {
  description = "Bucket that S3 writes its record of requests to; null for none."
  type        = string
  default     = null
}

variable "noncurrent_days" {
  description = "Days after which a replaced or deleted object is gone for good."
  type        = number

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "A replaced object must stay for at least a day."
  }
}

variable "expire_prefixes" {
  description = "Prefix to the days after which what lies under it expires; the empty prefix is the whole bucket."
  type        = map(number)
  default     = {}
}

variable "log_delivery_source_arns" {
  description = "Buckets whose record of requests may be delivered here."
  type        = list(string)
  default     = []
}

variable "account_id" {
  description = "Account of those buckets."
  type        = string
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the bucket with what is in it."
  type        = bool
  default     = false
}

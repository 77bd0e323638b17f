variable "name" {
  description = "First part of the log groups' names."
  type        = string
}

variable "groups" {
  description = "Log groups, one for each service."
  type        = set(string)
}

variable "retention_days" {
  description = "Days that logs are kept; one of the numbers that CloudWatch knows."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or more days, up to 3653; not for any number."
  }
}

variable "kms_key_arn" {
  description = "Key that the logs are encrypted with."
  type        = string
}

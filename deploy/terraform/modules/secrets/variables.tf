variable "name" {
  description = "Prefix of the secrets' names."
  type        = string
}

variable "secrets" {
  description = "Secret to what it is for. The values are put in by hand and stand in no state."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key that the secrets are encrypted with."
  type        = string
}

variable "recovery_days" {
  description = "Days that a deleted secret can be restored."
  type        = number
}

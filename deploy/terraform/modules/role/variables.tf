variable "name" {
  description = "Name of the role."
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

variable "trust" {
  description = <<-EOT
    Who may take the role. `kind` is `ecs` (tasks), `eks` (a service account, by the cluster's OIDC provider), `ec2`
    (instances, with an instance profile), `emr_serverless` (job runs) or `roles` (other roles of the account).
    For `eks`: `oidc_provider_arn`, `namespace` and `service_account`. For `roles`: `role_arns`.
  EOT

  type = object({
    kind              = string
    oidc_provider_arn = optional(string)
    namespace         = optional(string)
    service_account   = optional(string)
    role_arns         = optional(list(string), [])
  })

  validation {
    condition     = contains(["ecs", "eks", "ec2", "emr_serverless", "roles"], var.trust.kind)
    error_message = "trust.kind is ecs, eks, ec2, emr_serverless or roles."
  }

  validation {
    condition = var.trust.kind != "eks" || alltrue([
      can(regex("^arn:aws:iam::\\d{12}:oidc-provider/.+", var.trust.oidc_provider_arn)),
      can(regex("^[a-z0-9-]+$", var.trust.namespace)),
      can(regex("^[a-z0-9.-]+$", var.trust.service_account)),
    ])
    error_message = "Trust of kind eks needs oidc_provider_arn, namespace and service_account, without wildcards."
  }

  validation {
    condition = var.trust.kind != "roles" || (
      length(var.trust.role_arns) > 0 && alltrue([for arn in var.trust.role_arns : can(regex("^arn:aws:iam::\\d{12}:role/[^*]+$", arn))])
    )
    error_message = "Trust of kind roles needs role_arns, each the ARN of one role without wildcards."
  }
}

variable "policy" {
  description = "What the role may do, as JSON."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The most that the role can ever be given; null for no boundary."
  type        = string
}

variable "max_session_seconds" {
  description = "How long credentials of the role last at most."
  type        = number
  default     = 3600
}

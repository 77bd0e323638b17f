output "state_bucket" {
  description = "`bucket` of the environment's backend.hcl."
  value       = module.state.name
}

output "boundary_arn" {
  description = "`permissions_boundary_arn` of the environment."
  value       = module.github.boundary_arn
}

output "lake_key_arn" {
  description = "`lake_key_arn` of the environment."
  value       = module.keys.lake_key_arn
}

output "operations_key_arn" {
  description = "`operations_key_arn` of the environment."
  value       = module.keys.operations_key_arn
}

output "role_arns" {
  description = "Roles of the workflows: `plan` and `apply`."
  value       = module.github.role_arns
}

output "databricks_client_ids" {
  description = "Service principals of the workflows, `plan` and `apply`; null without Databricks."
  value       = one(module.databricks_workflows[*].application_ids)
}

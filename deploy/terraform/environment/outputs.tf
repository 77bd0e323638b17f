output "lake_uri" {
  description = "`lake_uri` of cltv.yaml."
  value       = module.platform.lake_uri
}

output "run_logs" {
  description = "`CLTV_LOGS_BUCKET` and `CLTV_LOGS_PREFIX` of the instance."
  value       = module.platform.run_logs
}

output "role_arns" {
  description = "The roles: `code_server`, `spark`, and `analysts` where somebody may take it."
  value       = module.platform.role_arns
}

output "secret_arns" {
  description = "Secret to its ARN."
  value       = module.platform.secret_arns
}

output "log_groups" {
  description = "Service to its log group."
  value       = module.platform.log_groups
}

output "job_id" {
  description = "Id of the Databricks job; null without Databricks."
  value       = module.platform.job_id
}

output "lake_location" {
  description = "The lake as Unity Catalog knows it; null without Databricks."
  value       = module.platform.lake_location
}

output "pipes" {
  description = "`pipes` of cltv.yaml, for months whose first half runs on Databricks."
  value       = module.platform.pipes
}

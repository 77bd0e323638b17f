output "lake_uri" {
  description = "`lake_uri` of cltv.yaml."
  value       = "s3://${module.storage.lake_bucket}/${trimsuffix(local.lake_prefix, "/")}"
}

output "run_logs" {
  description = "`CLTV_LOGS_BUCKET` and `CLTV_LOGS_PREFIX` of the instance."
  value       = { CLTV_LOGS_BUCKET = module.storage.run_logs_bucket, CLTV_LOGS_PREFIX = "runs" }
}

output "role_arns" {
  description = "The roles: `code_server`, `spark`, and `analysts` where somebody may take it."
  value       = module.access.role_arns
}

output "secret_arns" {
  description = "Secret to its ARN."
  value       = module.secrets.arns
}

output "log_groups" {
  description = "Service to its log group."
  value       = module.logs.names
}

output "job_id" {
  description = "Id of the Databricks job; null without Databricks."
  value       = one(module.databricks_job[*].job_id)
}

output "lake_location" {
  description = "The lake as Unity Catalog knows it; null without Databricks."
  value       = one(module.databricks_catalog[*].lake_url)
}

# What runs the first half of months on Databricks from Dagster. Serverless compute takes no cluster, and Pipes here starts
# clusters only.
output "pipes" {
  description = "`pipes` of cltv.yaml, for months whose first half runs on Databricks; null where there is no job cluster."
  value = one([for job in module.databricks_job : {
    kind         = "databricks"
    bucket       = module.storage.lake_bucket
    prefix       = local.pipes_prefix
    new_cluster  = job.new_cluster
    requirements = local.requirements
    wheel        = local.wheel
    settings     = { engine = "spark" }
  } if job.new_cluster != null])
}

output "job_id" {
  description = "Id of the job."
  value       = databricks_job.this.id
}

output "new_cluster" {
  description = "The job cluster, as Dagster Pipes takes it; null with serverless compute."
  value       = local.serverless ? null : local.new_cluster
}

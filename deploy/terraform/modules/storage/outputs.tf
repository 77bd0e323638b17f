output "lake_bucket" {
  description = "Name of the lake's bucket."
  value       = module.lake.name
}

output "lake_bucket_arn" {
  description = "ARN of the lake's bucket."
  value       = module.lake.arn
}

output "run_logs_bucket" {
  description = "Name of the bucket for logs of runs."
  value       = module.run_logs.name
}

output "run_logs_bucket_arn" {
  description = "ARN of the bucket for logs of runs."
  value       = module.run_logs.arn
}

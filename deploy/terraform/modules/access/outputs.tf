output "role_arns" {
  description = "The roles: `code_server`, `spark`, and `analysts` where somebody may take it."
  value = merge(
    { code_server = module.code_server.arn, spark = module.spark.arn },
    { for role in module.analysts : "analysts" => role.arn },
  )
}

output "spark_instance_profile_arn" {
  description = "Instance profile of Spark's role where EC2 takes it, else null."
  value       = module.spark.instance_profile_arn
}

output "arns" {
  description = "Log group to its ARN."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.arn }
}

output "names" {
  description = "Log group to its whole name."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.name }
}

output "lake_key_arn" {
  description = "Key of lake and logs of runs."
  value       = aws_kms_key.lake.arn
}

output "operations_key_arn" {
  description = "Key of secrets and CloudWatch logs."
  value       = aws_kms_key.operations.arn
}

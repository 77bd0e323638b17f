output "arns" {
  description = "Secret to its ARN."
  value       = { for key, secret in aws_secretsmanager_secret.this : key => secret.arn }
}

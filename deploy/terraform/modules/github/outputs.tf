output "role_arns" {
  description = "The roles: `plan` and `apply`."
  value       = { for role in ["plan", "apply"] : role => aws_iam_role.this[role].arn }
}

output "subjects" {
  description = "Whose tokens each role takes: `plan` and `apply` to subjects."
  value       = local.subjects
}

output "boundary_arn" {
  description = "Permissions boundary that roles of the deployment are made under."
  value       = aws_iam_policy.boundary.arn
}

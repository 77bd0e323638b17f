output "arn" {
  description = "ARN of the role."
  value       = aws_iam_role.this.arn
}

output "instance_profile_arn" {
  description = "Instance profile of a role for EC2, else null."
  value       = one(aws_iam_instance_profile.this[*].arn)
}

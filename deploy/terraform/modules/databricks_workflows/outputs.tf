output "application_ids" {
  description = "The principals: `plan` and `apply`."
  value       = local.application_ids
}

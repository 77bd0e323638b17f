output "volume_path" {
  description = "Path of the volume, `/Volumes/...`."
  value       = databricks_volume.wheels.volume_path
}

output "lake_url" {
  description = "Address of the lake's external location."
  value       = databricks_external_location.this["lake"].url
}

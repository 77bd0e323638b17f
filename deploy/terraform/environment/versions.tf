terraform {
  # `use_lockfile` of the backend.
  required_version = ">= 1.11"

  # The versions whose schemas the tests know.
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
    databricks = {
      source  = "databricks/databricks"
      version = "1.99.0"
    }
  }

  # `<environment>.backend.hcl` says which bucket, key and region.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

terraform {
  # Bucket, key, region and workspace_key_prefix are given at init: -backend-config=…
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

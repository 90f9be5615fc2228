# The names under which tasks read the stores. They stay: a migration changes what stands behind them, so it needs no
# release, and a release that is rolled back does not lead back to an old store.

# Each generation of the database is a version of it, with the generation's name as staging label; AWSCURRENT is on the
# version of the active one. Empty until a run makes the first role and its password. Without a recovery window, because
# the passwords die with the databases and the name must be free for the next environment of that name.
resource "aws_secretsmanager_secret" "application" {
  #checkov:skip=CKV2_AWS_57:Every migration makes a new password; rotating under running tasks would cut them off, for they read it when they start

  name                    = "know-me/${var.environment}/database/application"
  description             = "How the app reaches its database; versions written by the prepare-role job, one per generation"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0
}

resource "aws_ssm_parameter" "media_bucket" {
  #checkov:skip=CKV2_AWS_34:The value is a name or an ARN and no secret; plans and people may read it

  name        = "/know-me/${var.environment}/media/bucket"
  description = "Bucket of the files that the app uses: the active generation's"
  type        = "String"

  insecure_value = var.media_bucket # a name, not a secret, so a plan may show it
}

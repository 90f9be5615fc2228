resource "aws_cloudfront_origin_access_control" "this" {
  name                              = local.name
  description                       = "${local.name} reads its bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "this" {
  #checkov:skip=CKV_AWS_310:There is one origin, a bucket of one region; a second one would need a second bucket
  #checkov:skip=CKV_AWS_374:People travel: the app is for its users wherever they are
  #checkov:skip=CKV2_AWS_47:It serves files only and runs no Java; the variable web_firewall puts a web ACL with these rules before it

  comment             = local.name
  enabled             = true
  is_ipv6_enabled     = true
  http_version        = "http2and3"
  price_class         = var.price_class
  default_root_object = "index.html"
  aliases             = var.domain_name[*]
  web_acl_id          = var.web_acl_arn

  # CloudFront takes minutes to tell the world; nothing in an apply needs the answer.
  wait_for_deployment = false

  origin {
    origin_id                = "bucket"
    domain_name              = aws_s3_bucket.this.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.this.id
  }

  # Pages, that is index.html: a release is seen within a minute, even when its invalidation fails.
  default_cache_behavior {
    target_origin_id           = "bucket"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = aws_cloudfront_cache_policy.pages.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.hashed_files

    content {
      path_pattern               = ordered_cache_behavior.value
      target_origin_id           = "bucket"
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD", "OPTIONS"]
      cached_methods             = ["GET", "HEAD"]
      compress                   = true
      cache_policy_id            = aws_cloudfront_cache_policy.hashed_files.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
    }
  }

  # The app finds its way by the path: whatever is no file is answered by the page.
  dynamic "custom_error_response" {
    for_each = [403, 404]

    content {
      error_code            = custom_error_response.value
      response_code         = 200
      response_page_path    = "/index.html"
      error_caching_min_ttl = 10
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain_name == null
    acm_certificate_arn            = var.certificate_arn
    ssl_support_method             = var.domain_name == null ? null : "sni-only"
    minimum_protocol_version       = var.domain_name == null ? "TLSv1" : "TLSv1.2_2021" # CloudFront's own certificate knows no other
  }

  dynamic "logging_config" {
    for_each = var.access_logs_bucket[*]

    content {
      bucket          = "${logging_config.value}.s3.amazonaws.com"
      prefix          = "${local.name}/"
      include_cookies = false
    }
  }
}

resource "aws_cloudfront_cache_policy" "pages" {
  name        = "${local.name}-pages"
  comment     = "Pages of ${local.name}: a minute, unless they say otherwise"
  min_ttl     = 0
  default_ttl = 60
  max_ttl     = 300

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = true
    enable_accept_encoding_gzip   = true

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_cache_policy" "hashed_files" {
  name        = "${local.name}-hashed-files"
  comment     = "Files of ${local.name} that never change: a year"
  min_ttl     = 0
  default_ttl = 31536000
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = true
    enable_accept_encoding_gzip   = true

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# Cache-Control is not set here but by who uploads a file: a hashed file that is missing is answered by the page, which no browser
# may keep for a year.
resource "aws_cloudfront_response_headers_policy" "this" {
  #checkov:skip=CKV_AWS_259:Two years with subdomains; preload is for the owner of the domain to register, not for one of its names

  name    = local.name
  comment = "Headers that make browsers careful with ${local.name}"

  security_headers_config {
    strict_transport_security {
      access_control_max_age_sec = 63072000 # two years
      include_subdomains         = true
      preload                    = false
      override                   = true
    }

    content_security_policy {
      content_security_policy = var.content_security_policy
      override                = true
    }

    frame_options {
      frame_option = "DENY"
      override     = true
    }

    referrer_policy {
      referrer_policy = "strict-origin-when-cross-origin"
      override        = true
    }

    content_type_options {
      override = true
    }
  }
}

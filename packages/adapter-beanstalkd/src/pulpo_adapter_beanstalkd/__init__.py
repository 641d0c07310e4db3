"""beanstalkd tubes for pulpo."""

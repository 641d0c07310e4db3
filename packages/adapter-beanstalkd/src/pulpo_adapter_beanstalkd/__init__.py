"""beanstalkd tubes for pulpo."""

from .adapter import BeanstalkdAdapter

__all__ = ["BeanstalkdAdapter"]

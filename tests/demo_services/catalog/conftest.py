from tests.demo_services.catalog.redis_servers import fakeredis_url, shop_redis_url

__all__ = ["fakeredis_url", "shop_redis_url"]

"""Reading what a fetch of aiokafka contains: screened before it is decoded, unfolded within a bound."""

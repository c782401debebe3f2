"""The fraud check: a Flask service whose log lines go to syslog, in the format of RFC 5424."""

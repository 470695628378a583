"""Files with settings that a running process follows: secrets, signing keys, options and those of TLS.

changes          whether files have changed, by what the file system says
secret_file      the text of a file, read again when it changes
watch            one thread that looks at all of them, for processes that are idle
followed         what a text means: the last one that can be used
followed_keyring, followed_values, followed_tls     signing keys, options, and contexts for connections
"""

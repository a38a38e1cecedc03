"""gpt-oss writes Harmony: messages of tokens, each with a channel and a recipient. Needs the extra
`harmony`; nothing of it is imported before it is used.
"""

"""A demo in the browser, on this machine only (extra `demo`).

engine.py   queries in, answers out; no page
uploads.py  what a visitor may drop, and what is said otherwise
page.py     the page, by Gradio
serving.py  the server: loopback only, without analytics, without files
"""

"""The dashboard as Streamlit serves it: its page behind the same guard as the explorer."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from apps.dashboard import HOST, PUBLIC
from apps.guard import Guard
from apps.names import Names

NAMES = Names(os.environ.get(HOST, "127.0.0.1"), os.environ.get(PUBLIC, "").split())
CLOSED = ("/_stcore/upload_file",)  # the page takes no files

app = st.App(Path(__file__).with_name("main.py"), middleware=[Middleware(Guard, names=NAMES, closed=CLOSED)])

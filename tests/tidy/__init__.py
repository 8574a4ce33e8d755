"""Rules of this repository, checked: a remark made twice becomes a test here."""

"use strict";
// Nothing moves on this page: it is read as it is.
